"""Memory-augmented networks: model.input identity, memory lrua (or none), reasoning lstm, output linear."""
import math

import torch
import torch.nn.functional as F
from exported import Exported


class MemoryAugmented(Exported):
    def forward(self, x, label_before):
        """Logits [steps * n, ...] of n sequences (tasks.bundle) side by side: row t * n + i is step t of sequence i."""
        n = int(self.settings["tasks.bundle"])
        rows, memory = torch.cat([x.flatten(1), label_before], 1), None
        known = rows.new_zeros(n, self.w.lstm.weight_hh.shape[1])
        cell, answers = rows.new_zeros(n, self.w.lstm.weight_ih.shape[0] // 4), []
        if hasattr(self.w, "memory"):
            memory = self.empty(rows, n)
        for now in rows.view(-1, n, rows.shape[1]):
            z = F.linear(now, self.w.lstm.weight_ih, self.w.lstm.bias_ih) + F.linear(known, self.w.lstm.weight_hh)
            i, f, g, o = z.chunk(4, 1)
            cell = torch.sigmoid(f) * cell + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(cell)
            found, memory = self.access(h, *memory) if memory else (h[:, :0], None)
            known = torch.cat([found, h], 1)
            answers.append(torch.cat([h, found], 1))
        return self.linear("head", torch.cat(answers))

    def empty(self, like, n):
        """Slots [n, slots, d], what was read last [n, heads, slots], usage [n, slots]."""
        heads, slots = self.w.memory.gate.bias.numel(), int(self.settings["model.slots"])
        read = like.new_zeros(n, heads, slots)
        read[:, :, 0] = 1
        return like.new_full((n, slots, self.w.memory.key.bias.numel() // heads), 1e-6), read, read[:, 0]

    def access(self, h, slots, read, usage):
        """Write where least recently used or just read, then read by likeness: all heads' answers, and the memory."""
        n, heads, count = read.shape
        keys = torch.tanh(self.linear("memory.key", h)).view(n, heads, -1)
        gate = torch.sigmoid(self.linear("memory.gate", h)).unsqueeze(2)
        least = F.one_hot(usage.sort(dim=1, stable=True).indices[:, :heads], count).to(h)
        write = gate * read + (1 - gate) * least
        slots = slots * (1 - least[:, 0]).unsqueeze(2) + write.transpose(1, 2) @ keys
        sizes = keys.norm(dim=2).unsqueeze(2) * slots.norm(dim=2).unsqueeze(1)
        likeness = keys @ slots.transpose(1, 2) / (sizes + 1e-6)
        if hasattr(self.w.memory, "sharpness"):
            likeness = likeness * (1 + F.softplus(self.linear("memory.sharpness", h) + math.log(count))).unsqueeze(2)
        read = torch.softmax(likeness, 2)
        usage = (self.number("model.usage_decay") * usage + (read + write).sum(1)).detach()
        return (read @ slots).flatten(1), (slots, read, usage)
