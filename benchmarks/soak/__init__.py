"""A long run of the real program with everything that can break around it breaking.

`python -m benchmarks.soak` starts `edgesam-run` on a GStreamer camera that ends again and again,
with the HTTP server, a live page that is looked at, metrics that are scraped, an MQTT broker that
is killed, and a rotated file; and watches memory, threads, descriptors and lost results.
"""
