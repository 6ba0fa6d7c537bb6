"""model.input mlp or linear, with or without a table of learned slots (model.memory table): what MAML adapts on curves and rows."""
import torch
from exported import Exported


class Perceptron(Exported):
    def forward(self, x, ids=None):
        """x [n, ...] -> answers [n, y]; ids [n, 1] of tasks that have them (tasks.id_column), 0 of those that training had not."""
        act, items = getattr(torch, self.settings["model.activation"]), x.flatten(1)
        x = self.linear("input", items) if hasattr(self.w, "input") else items
        for fc in self.layers("fc"):
            x = self.linear(fc, x)
            if hasattr(self.w, fc.replace("fc", "bn")):  # statistics of the batch at hand
                bn = self.w.get_submodule(fc.replace("fc", "bn"))
                x = torch.nn.functional.batch_norm(x, None, None, bn.weight, bn.bias, True, 0,
                                                   self.number("model.batch_norm_eps"))
            x = act(x)
        if hasattr(self.w, "residual"):
            x = items + self.w.residual.gate * self.linear("residual", x)
        if hasattr(self.w, "memory"):  # asked by id or by attention; reasoning concat-linear
            slots = self.w.memory.slots
            if ids is None:
                memory = torch.softmax(x @ self.w.memory.query.T @ slots.T, 1) @ slots
            else:
                memory = slots[ids.long().flatten()]
            x = torch.cat([x, memory], 1)
        if hasattr(self.w, "reason"):
            x = act(self.linear("reason", x))
        return self.linear("head", x)
