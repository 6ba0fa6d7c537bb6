"""What all networks that read stories share: sentences of numbered words as vectors.

A story is story [n, sentences, words], of numbers of module.words, 0 where there is no word; mask [n, sentences], 1
where there is a sentence; age [n, sentences], 1 of the newest; question [n, words]. `fields` makes these of a dump.
"""
import torch
from exported import Exported


def fields(dump):
    """Of tensors of `mnemo task --dump`: story, mask, age (None: not told), question."""
    age = dump["query.age"][:, 0, :, 0] if "query.age" in dump else None
    return dump["query.story"][..., 0].transpose(1, 2), dump["query.mask"], age, dump["query.question"].long()


class Reader(Exported):
    def sentence(self, ids, table, mask, longest):
        """sum_j l_j .* table[w_j] of ids [..., words]; l is 1, or by the places of words, or learned."""
        how, length, d = self.settings["model.encoding"], ids.shape[-1], table.shape[1]
        weights = torch.ones(1, 1).to(table)
        if how.startswith("position"):
            half, size = (0, 0.5) if how == "position-printed" else (0.5, 1)
            j = torch.arange(1, length + 1).to(table) - longest / 2 - half
            k = torch.arange(1, d + 1).to(table) - d / 2 - half
            weights = size * (1 + 4 * torch.outer(j, k) / (longest * d))
        elif how == "mask":
            weights = self.w.get_submodule(mask).weight
        return ((table[ids] * (ids > 0).unsqueeze(-1)) * weights).sum(-2)

    def encode(self, story, question, story_table, question_table):
        """Sentences [n, sentences, d] and questions [n, d]."""
        longest = max(story.shape[-1], question.shape[-1])
        return (self.sentence(story.long(), story_table, "story_mask", longest),
                self.sentence(question, question_table, "question_mask", longest))
