"""ResNet and VGG16 as PyTorch's users have them, with torchvision's names."""

import torch
from torch import nn


class BasicBlock(nn.Module):
    def __init__(self, channels, filters, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, filters, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(filters)
        self.downsample = None
        if stride != 1 or channels != filters:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels, filters, 1, stride, bias=False), nn.BatchNorm2d(filters)
            )

    def forward(self, x):
        y = torch.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return torch.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    def __init__(self, classes, blocks=(2, 2, 2, 2), *, stem="cifar", width=64, channels=3):
        super().__init__()
        self.stem = stem
        window = (3, 1, 1) if stem == "cifar" else (7, 2, 3)
        self.conv1 = nn.Conv2d(channels, width, *window, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        before = width
        for stage, count in enumerate(blocks):
            filters = width * 2**stage
            made = []
            for block in range(count):
                made.append(BasicBlock(before, filters, 2 if stage and not block else 1))
                before = filters
            setattr(self, f"layer{stage + 1}", nn.Sequential(*made))
        self.fc = nn.Linear(before, classes)

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        if self.stem == "imagenet":
            x = nn.functional.max_pool2d(x, 3, 2, 1)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
        return self.fc(x.mean((2, 3)))


class VGG16(nn.Module):
    def __init__(self, classes, *, side=7, hidden=(4096, 4096), batch_norm=False):
        super().__init__()
        layers, before = [], 3
        for filters in (64, 64, 0, 128, 128, 0, *(256,) * 3, 0, *(512,) * 3, 0, *(512,) * 3, 0):
            if not filters:
                layers.append(nn.MaxPool2d(2))
                continue
            layers.append(nn.Conv2d(before, filters, 3, padding=1))
            layers += [nn.BatchNorm2d(filters)] if batch_norm else []
            layers.append(nn.ReLU())
            before = filters
        self.features = nn.Sequential(*layers)
        dense, before = [], 512 * side**2
        for units in hidden:
            dense += [nn.Linear(before, units), nn.ReLU(), nn.Dropout()]
            before = units
        self.classifier = nn.Sequential(*dense, nn.Linear(before, classes))

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))


def randomize(module: nn.Module, seed: int = 0) -> nn.Module:
    """Random parameters and statistics: ones and zeros would hide what is left out."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            fan_in = parameter[0].numel() if parameter.ndim > 1 else 4
            parameter.normal_(0, fan_in**-0.5)
        for name, buffer in module.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_(0, 0.5)
            elif name.endswith("running_var"):
                buffer.uniform_(0.5, 2)
    return module.eval()
