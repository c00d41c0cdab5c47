"""Is the latency budget held when the processor is taken away, and given back?"""
