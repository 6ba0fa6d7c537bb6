"""Conditional neural processes: model.input identity, memory mean, reasoning concat-mlp, output gaussian."""
import torch
import torch.nn.functional as F
from exported import Exported


class NeuralProcess(Exported):
    def perceptron(self, name, x, to_the_end):
        layers = list(self.layers(name + ".fc"))
        for layer in layers:
            x = self.linear(layer, x)
            if to_the_end or layer != layers[-1]:
                x = getattr(torch, self.settings["model.activation"])(x)
        return x

    def forward(self, support, y, query):
        """Means, and then standard deviations, [n, 2 y] of query items, of what was seen at the support items."""
        memory = self.perceptron("encoder", torch.cat([support, y], 1), False).mean(0)
        x = torch.cat([query, memory.expand(len(query), -1)], 1)
        mean, raw = self.linear("head", self.perceptron("decoder", x, True)).chunk(2, 1)
        return torch.cat([mean, 0.1 + 0.9 * F.softplus(raw)], 1)
