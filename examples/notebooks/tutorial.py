# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # What a LeNet does to digits
#
# A network is trained on digits for some seconds. Then we look: at what each layer keeps of an image, at
# what drives one of its channels, at where it puts a thousand digits, and at those that it gets wrong.
#
# `pip install "torch-layerlens[demo]"` brings all that is needed; nothing is downloaded.

# %%
import numpy as np

import layerlens as ll
from layerlens.cli.lenet import digits, predictions, train

data = digits()
model = train(data, epochs=4)
images, labels = data.test_x[:1000], data.test_y[:1000]
guesses = predictions(model, images)
print(f"{data.name}; right on {(guesses == labels).float().mean():.1%} of {len(labels):,} others")

# %% [markdown]
# ## Record
#
# A `Probe` says which layers are meant: here the input and every layer. `run` sends the images through
# in eval mode and without gradients, and leaves the model as it was. Layers wider than 4,096 values
# are sketched to 2,048 that keep distances.

# %%
activations = ll.Probe(model, layers=["input", "*"]).run((images, labels))
activations

# %% [markdown]
# ## One image through the network
#
# A convolution keeps the structure of its input: each channel is an image again. `conv1` finds strokes
# and edges; after `pool2` there are 4 x 4 places left of 28 x 28.

# %%
maps = ll.activation_maps(model, images[:1], layers=["conv*", "relu*", "pool*"])
maps

# %% [markdown]
# ## What drives a channel
#
# Of all 1,000 images, the nine that channel 7 of `conv2` answers to most, and what of each the place sees
# that answers: 14 x 14 pixels.

# %%
ll.top_samples(model, images, layer="conv2", channel=7)

# %% [markdown]
# ## Where each layer puts the digits
#
# `reduce` draws every layer's cloud in two dimensions. `series-tsne` draws all layers in one
# optimisation, so that a point keeps its place unless the network moves it. Press play; click a point
# to see which digit it is and who its neighbours are.

# %%
embeddings = ll.reduce(activations, "series-tsne", random_state=0)
embeddings

# %% [markdown]
# Every picture says how far it can be trusted, and what the layer itself knows: of a digit's nearest
# neighbours in the layer, does the majority name its class?

# %%
names = ["trustworthiness", "neighbor_recall", "knn_accuracy_native", "motion_previous"]
embeddings.metrics_frame()[names].round(3)

# %% [markdown]
# ## The ones that it gets wrong
#
# For each layer: how many of a digit's 15 nearest neighbours are of its class, for the digits that the
# model gets right and for those that it does not.

# %%
wrong = np.flatnonzero((guesses != labels).numpy())
y = labels.numpy()
for name, layer in embeddings.items():
    same = (y[layer.neighbors] == y[:, None]).mean(axis=1)
    right, lost = np.delete(same, wrong).mean(), same[wrong].mean()
    print(f"{name or '(model)':>8}  right {right:.2f}   wrong {lost:.2f}")

# %% [markdown]
# The digits that it gets wrong lie among others from the first layer on: the network does not lose them
# on the way, it never had them. What the last layer takes each for:

# %%
for i in wrong[:8]:
    print(f"sample {i}: a {y[i]}, taken for a {int(guesses[i])}")

# %% [markdown]
# ## Keep it
#
# The ending chooses the format: `.html` is the page in one file, `.png` a figure, `.npz` keeps everything.

# %%
embeddings.save(["lenet.html", "lenet.npz"])
