"""Query-reduction networks: model.input sentences, memory sentences, reasoning query-reduction, output words."""
import torch
from stories import Reader


class QueryReduction(Reader):
    def forward(self, story, mask, age, question):
        """Logits over words [n, words]; age is not read."""
        x, q = self.encode(story, question, self.w.embed.weight, self.w.embed.weight)
        directions = 2 if self.settings["model.bidirectional"] == "true" else 1
        q, told = q.unsqueeze(1).expand_as(x), mask.unsqueeze(2)
        layers = int(self.settings["model.layers"])
        for layer in range(layers):
            of = f"layers.{layer}." if self.settings.get("model.layer_weights") == "own" else ""
            c = torch.tanh(self.linear(of + "candidate", torch.cat([q, x], 2)))
            z = told * torch.sigmoid(self.linear(of + "update", q * x) + self.number("model.gate_lean"))
            if layer + 1 == layers:
                return self.linear("answer", self.scan(z, z * c)[:, -1])
            r = [torch.ones_like(z)] * directions
            if self.settings["model.reset_gates"] == "true":
                r = torch.sigmoid(self.linear(of + "reset", q * x)).chunk(directions, 2)
            q = self.scan(z, z * r[0] * c)
            if directions == 2:
                q = q + self.scan(z.flip(1), (z * r[1] * c).flip(1)).flip(1)

    @staticmethod
    def scan(z, u):
        """h_t = u_t + (1 - z_t) h_(t-1), [n, sentences, d]."""
        h, all_h = torch.zeros_like(u[:, 0]), []
        for t in range(u.shape[1]):
            h = u[:, t] + (1 - z[:, t]) * h
            all_h.append(h)
        return torch.stack(all_h, 1)
