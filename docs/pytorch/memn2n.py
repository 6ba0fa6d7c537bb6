"""End-to-end memory networks: model.input sentences, memory story, reasoning hops, output words."""
import torch
from stories import Reader


class MemN2N(Reader):
    def forward(self, story, mask, age, question):
        """Logits over words [n, words]."""
        adjacent, w, told = self.settings["model.tying"] == "adjacent", self.w, mask.unsqueeze(2)

        def memory(kind):
            m, _ = self.encode(story, question, w.get_submodule("embed" + kind).weight, table)
            by_age = 0 if age is None else w.get_submodule("temporal" + kind).weight[age.long()]
            return (m + by_age) * told  # slots that no sentence fills give nothing

        table = w.embed0.weight if adjacent else w.embed_b.weight
        u = self.encode(story, question, table, table)[1]
        for hop in range(int(self.settings["model.hops"])):
            keys, values = (memory(str(hop)), memory(str(hop + 1))) if adjacent else (memory("_a"), memory("_c"))
            p = (keys @ u.unsqueeze(2)).squeeze(2)
            if self.settings["model.linear_attention"] == "false":
                if self.settings["model.empty_slots"] == "false":
                    p = p.masked_fill(mask == 0, -torch.inf)
                p = torch.softmax(p, 1)
            u = (u if adjacent else self.linear("hop", u)) + (p.unsqueeze(1) @ values).squeeze(1)
        return u @ (w.get_submodule("embed" + self.settings["model.hops"]) if adjacent else w.answer).weight.T
