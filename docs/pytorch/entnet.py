"""Recurrent entity networks: model.input sentences, memory entities, reasoning prelu-hops, output words."""
import torch
import torch.nn.functional as F
from stories import Reader


class EntityNetwork(Reader):
    def forward(self, story, mask, age, question):
        """Logits over words [n, words]; age is not read."""
        s, q = self.encode(story, question, self.w.embed.weight, self.w.embed.weight)
        entities, slope = self.w.entities, self.w.prelu.weight
        h = entities.keys.expand(len(s), -1, -1)
        by_key = self.linear("entities.key", entities.keys) + entities.state.bias
        for t in range(s.shape[1]):
            now, told = s[:, t], mask[:, t, None, None]
            score = torch.einsum("nd,nkd->nk", now, h) + now @ entities.keys.T + entities.gate.bias
            candidate = h @ entities.state.weight.T + by_key + self.linear("entities.sentence", now).unsqueeze(1)
            h = h + told * torch.sigmoid(score).unsqueeze(2) * torch.where(candidate > 0, candidate, slope * candidate)
            h = h / (h.square().sum(2, keepdim=True) + 1e-12).sqrt()
        for _ in range(int(self.settings["model.hops"])):
            p = torch.softmax(torch.einsum("nd,nkd->nk", q, h), 1)
            q = F.linear(torch.einsum("nk,nkd->nd", p, h), self.w.read.weight) + q
            q = torch.where(q > 0, q, slope * q)
        return self.linear("answer", q)
