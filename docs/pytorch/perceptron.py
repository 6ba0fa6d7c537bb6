"""model.input mlp, with or without a table of learned slots (model.memory table): what MAML adapts on curves."""
import torch
from exported import Exported


class Perceptron(Exported):
    def forward(self, x):
        """x [n, ...] -> answers [n, y]."""
        act, items = getattr(torch, self.settings["model.activation"]), x.flatten(1)
        x = items
        for fc in self.layers("fc"):
            x = self.linear(fc, x)
            if hasattr(self.w, fc.replace("fc", "bn")):  # statistics of the batch at hand
                bn = self.w.get_submodule(fc.replace("fc", "bn"))
                x = torch.nn.functional.batch_norm(x, None, None, bn.weight, bn.bias, True, 0,
                                                   self.number("model.batch_norm_eps"))
            x = act(x)
        if hasattr(self.w, "residual"):
            x = items + self.w.residual.gate * self.linear("residual", x)
        if hasattr(self.w, "memory"):  # asked by attention; reasoning concat-linear
            slots = self.w.memory.slots
            x = torch.cat([x, torch.softmax(x @ self.w.memory.query.T @ slots.T, 1) @ slots], 1)
        if hasattr(self.w, "reason"):
            x = act(self.linear("reason", x))
        return self.linear("head", x)
