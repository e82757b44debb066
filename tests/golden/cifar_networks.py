"""The networks for CIFAR of configs/models, as PyTorch has them; torchvision has none of them."""
from torch import nn
from torch.nn.functional import relu


class Basic(nn.Module):
    """Of a residual network; a shortcut that changes the size is a 1x1 convolution (He et al., 2016, option B)."""

    def __init__(self, inputs, filters, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, filters, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(filters)
        self.downsample = None
        if stride != 1 or inputs != filters:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, filters, 1, stride, bias=False), nn.BatchNorm2d(filters))

    def forward(self, x):
        shortcut = x if self.downsample is None else self.downsample(x)
        return relu(self.bn2(self.conv2(relu(self.bn1(self.conv1(x))))) + shortcut)


class ResNet(nn.Module):
    def __init__(self, widths, blocks, classes):
        super().__init__()
        self.conv1 = nn.Conv2d(3, widths[0], 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        inputs = widths[0]
        for stage, filters in enumerate(widths, 1):
            layers = []
            for i in range(blocks):
                layers.append(Basic(inputs, filters, 2 if stage > 1 and i == 0 else 1))
                inputs = filters
            setattr(self, f"layer{stage}", nn.Sequential(*layers))
        self.stages = len(widths)
        self.fc = nn.Linear(inputs, classes)

    def forward(self, x):
        x = relu(self.bn1(self.conv1(x)))
        for stage in range(1, self.stages + 1):
            x = getattr(self, f"layer{stage}")(x)
        return self.fc(x.mean((2, 3)))


class PreActivated(nn.Module):
    """Of a wide residual network; where the size changes, the shortcut begins behind the first activation."""

    def __init__(self, inputs, filters, stride):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, filters, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, 1, 1, bias=False)
        self.convShortcut = None if inputs == filters and stride == 1 else nn.Conv2d(inputs, filters, 1, stride, bias=False)

    def forward(self, x):
        activated = relu(self.bn1(x))
        shortcut = x if self.convShortcut is None else self.convShortcut(activated)
        return self.conv2(relu(self.bn2(self.conv1(activated)))) + shortcut


class Group(nn.Module):
    def __init__(self, inputs, filters, stride, blocks):
        super().__init__()
        self.layer = nn.Sequential(*(PreActivated(inputs if i == 0 else filters, filters, stride if i == 0 else 1)
                                     for i in range(blocks)))

    def forward(self, x):
        return self.layer(x)


class WideResNet(nn.Module):
    """WRN-depth-width (Zagoruyko and Komodakis, 2016)."""

    def __init__(self, depth, width, classes):
        super().__init__()
        blocks = (depth - 4) // 6
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.block1 = Group(16, 16 * width, 1, blocks)
        self.block2 = Group(16 * width, 32 * width, 2, blocks)
        self.block3 = Group(32 * width, 64 * width, 2, blocks)
        self.bn1 = nn.BatchNorm2d(64 * width)
        self.fc = nn.Linear(64 * width, classes)

    def forward(self, x):
        x = self.block3(self.block2(self.block1(self.conv1(x))))
        return self.fc(relu(self.bn1(x)).mean((2, 3)))


# As models_test.cpp has them: the wide one of width 2, which is quick.
NETWORKS = {"resnet20": lambda classes: ResNet((16, 32, 64), 3, classes),
            "wrn28_10": lambda classes: WideResNet(28, 2, classes)}
