"""Post-training quantization of float ONNX graphs, for any model family; needs no torch.

statistics   what every tensor holds, streamed over the calibration pictures
estimators   statistics to a range, by name
search       ranges by the error of the layers that read them
equalise     channels of one tensor brought to one size, without changing the float graph
bias         the mean error of each layer taken out of its bias
sensitivity  what each layer costs, and which ones stay float
apply        all of it in order, as a recipe asks
compare      recipes side by side on photos: masks, embeddings, size, time
"""
