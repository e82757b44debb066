"""Configurations that several files of tests train."""
SMALL = """
name: small
data: {source: digits, normalize: {mean: [0.13], std: [0.3]}}
model:
  input: [1, 28, 28]
  layers:
    - maxpool: 4
    - flatten
    - linear: 10
train: {epochs: 2, global_batch: 1000}
optimizer: {name: sgd, lr: 0.1}
device: cpu
"""
# Trained at once, from no files.
DIGITS = """
name: digits
data: {source: digits, normalize: {mean: [0.13], std: [0.3]}}
model: {input: [1, 28, 28], layers: [maxpool: 4, flatten, linear: 10]}
train: {epochs: 1, global_batch: 1000}
device: cpu
"""
# Some seconds of training: 20 steps an epoch.
STEADY = """
name: steady
data:
  source: synthetic
  synthetic: {image: [3, 16, 16], classes: 10, train: 640, test: 64}
model:
  input: [3, 16, 16]
  layers:
    - conv: {out: 32, kernel: 3, pad: same}
    - batchnorm: {group: 16}
    - relu
    - conv: {out: 32, kernel: 3, pad: same}
    - relu
    - globalavgpool
    - dropout: 0.25
    - linear: 10
train: {epochs: 3, global_batch: 32}
optimizer: {name: sgd, lr: 0.05, momentum: 0.9}
device: cpu
checkpoint: {every_steps: 4, keep: 0}
"""
# Of a folder of pictures: write its path for PATH.
PICTURES = """
name: pictures
data:
  source: folder
  path: PATH
  resize: 20
  normalize: {mean: [0.4, 0.5, 0.3], std: [0.3, 0.2, 0.25]}
model: {input: [3, 16, 12], layers: [conv: {out: 4, kernel: 3}, relu, flatten, linear: 3]}
train: {epochs: 2, global_batch: 6}
optimizer: {name: adam, lr: 0.01}
device: cpu
"""
