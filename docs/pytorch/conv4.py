"""model.input conv4, for MAML (a linear head) and for prototypes and matching (the support set is the memory)."""
import torch
import torch.nn.functional as F
from exported import Exported


class Conv4(Exported):
    def features(self, x, by=None):
        """x [n, channels, height, width] -> [n, features]. by: a list of (mean, variance) of each layer to normalise
        with; an empty one is filled with those of x."""
        how, eps = self.settings["model.batch_norm_statistics"], self.number("model.batch_norm_eps")
        stride = 2 if self.settings["model.downsampling"] == "stride" else 1
        means = []
        for layer, conv in enumerate(self.layers("conv")):
            bn, conv = getattr(self.w, f"bn{layer + 1}"), self.w.get_submodule(conv)
            x = F.conv2d(x, conv.weight, conv.bias, stride=stride, padding=1)
            if by is not None and how == "support":
                if len(by) == layer:
                    by.append((x.mean((0, 2, 3), True), x.var((0, 2, 3), False, True)))
                x = (x - by[layer][0]) / (by[layer][1] + eps).sqrt()
                x = x * bn.weight.view(-1, 1, 1) + bn.bias.view(-1, 1, 1)
            elif how == "running":
                x = F.batch_norm(x, bn.running_mean, bn.running_var, bn.weight, bn.bias, False, 0, eps)
            elif how == "item":
                x = F.instance_norm(x, weight=bn.weight, bias=bn.bias, eps=eps)
            else:  # of the images at hand
                x = F.batch_norm(x, None, None, bn.weight, bn.bias, True, 0, eps)
            x = F.relu(x) if stride == 2 else F.max_pool2d(F.relu(x), 2)
            means.append(x.mean((2, 3)))
        if self.settings["model.readout"] == "blocks":
            return torch.cat(means, 1)
        return x.mean((2, 3)) if self.settings["model.readout"] == "mean" else x.flatten(1)

    def forward(self, x):
        """Logits [n, classes], for maml.adapt."""
        return self.linear("head", self.features(x))


class Prototypes(Conv4):
    def forward(self, support, labels, query):
        """Logits [n, classes]: squared distances to the classes' means (less what all classes share)."""
        by = []
        keys, u = self.features(support, by), self.features(query, by)
        means = torch.stack([keys[labels == k].mean(0) for k in range(int(labels.max()) + 1)])
        return 2 * u @ means.T - (means * means).sum(1)


class Matching(Conv4):
    def forward(self, support, labels, query):
        """Logarithms of probabilities [n, classes]: labels of the support set by likeness. Without model.full_context."""
        by = []
        keys, u = F.normalize(self.features(support, by), dim=1), F.normalize(self.features(query, by), dim=1)
        attention = torch.softmax(self.w.match.log_scale.exp() * u @ keys.T, 1)
        return (attention @ F.one_hot(labels).to(u) + 1e-12).log()
