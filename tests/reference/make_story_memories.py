#!/usr/bin/python3
"""Write story_memories.json, what story_memories_test.c compares with: memories of stories in PyTorch, float64.

    make_story_memories.py > story_memories.json

Recurrent entity networks are written here from the equations of Henaff et al. 2017 (the learned mask of words, the gates'
bias, and the slopes that updates and answers share, as the authors programmed them), key-value memories from those of
Miller et al. 2016 with whole sentences as windows and every word as a centre, fast weights from those of Ba et al. 2016,
with the matrix that our own code does without. Word 0 is no word.
"""
import json

import torch
import torch.nn.functional as F

V, D, SENTENCES, LENGTH, QUESTION = 11, 4, 5, 3, 2
TOLD = [5, 3, 1]  # sentences of each story; the rest of its slots is empty


def draw_data(generator):
    stories = torch.zeros(len(TOLD), SENTENCES, LENGTH, dtype=torch.long)
    ages = torch.zeros(len(TOLD), SENTENCES, dtype=torch.long)
    for i, told in enumerate(TOLD):
        for t in range(told):
            n = 1 + int(torch.randint(LENGTH, (1,), generator=generator))
            stories[i, t, :n] = torch.randint(1, V, (n,), generator=generator)
            ages[i, t] = told - t
    questions = torch.randint(1, V, (len(TOLD), QUESTION), generator=generator)
    questions[1, 1] = 0
    answers = torch.randint(1, V, (len(TOLD),), generator=generator)
    return stories, ages, questions, answers


def look_up(table, ids):
    return F.embedding(ids, table) * (ids != 0).unsqueeze(-1)


def encode(p, ids, mask):
    words = look_up(p["embed.weight"], ids)
    return (words * p[mask] if mask in p else words).sum(-2)


def prelu_hops(p, q, hops, read):
    for hop in range(hops):
        q = q + F.linear(read(q, hop), p["read.weight"])
        q = torch.where(q > 0, q, p["prelu.weight"] * q)
    return F.linear(q, p["answer.weight"])


def entities(p, data, settings, shown):
    stories, _, questions, _ = data
    keys, slopes = p["entities.keys"], p["prelu.weight"]
    h = keys.expand(len(stories), -1, -1)
    gates = []
    for t in range(SENTENCES):
        s = encode(p, stories[:, t], "story_mask.weight").unsqueeze(1)
        there = (stories[:, t] != 0).any(-1, keepdim=True)
        gate = torch.sigmoid((s * (h + keys)).sum(-1) + p["entities.gate.bias"]) * there
        candidate = (F.linear(h, p["entities.state.weight"], p["entities.state.bias"])
                     + F.linear(s, p["entities.sentence.weight"]) + F.linear(keys, p["entities.key.weight"]))
        candidate = torch.where(candidate > 0, candidate, slopes * candidate)
        h = F.normalize(h + gate.unsqueeze(-1) * candidate, dim=-1)
        gates.append(gate)
    shown.append(("entity gates", 0, torch.cat(gates, dim=-1)))

    def read(q, hop):
        attention = torch.softmax((h * q.unsqueeze(1)).sum(-1), dim=-1)
        shown.append(("entity attention", hop + 1, attention))
        return (attention.unsqueeze(-1) * h).sum(1)

    return prelu_hops(p, encode(p, questions, "question_mask.weight"), settings["hops"], read)


def fast_weights(p, data, settings, shown):
    stories, _, questions, _ = data
    recurrent = 0.05 * torch.eye(D, dtype=torch.float64) + p["fast.state.weight"].T

    def step(x, h, matrix):
        z = F.linear(x, p["fast.input.weight"], p["fast.input.bias"]) + F.linear(h, recurrent)
        h = F.relu(z)
        for _ in range(settings["steps"]):
            h = z + torch.einsum("nij,nj->ni", matrix, h)
            h = F.relu(F.layer_norm(h, (D,), p["fast.norm.weight"], p["fast.norm.bias"], eps=1e-5))
        return h

    h = torch.zeros(len(stories), D, dtype=torch.float64)
    matrix = torch.zeros(len(stories), D, D, dtype=torch.float64)
    for t in range(SENTENCES):
        there = (stories[:, t] != 0).any(-1)
        after = step(encode(p, stories[:, t], "story_mask.weight"), h, matrix)
        written = settings["decay"] * matrix + settings["rate"] * torch.einsum("ni,nj->nij", after, after)
        h = torch.where(there.view(-1, 1), after, h)
        matrix = torch.where(there.view(-1, 1, 1), written, matrix)

    def read(q, hop):
        shown.append(("read", hop + 1, step(q, h, matrix)))
        return shown[-1][2]

    return prelu_hops(p, encode(p, questions, "question_mask.weight"), settings["hops"], read)


def key_value(p, data, settings, shown):
    stories, ages, questions, _ = data
    window = encode(p, stories, "story_mask.weight") + look_up(p["temporal_key.weight"], ages)
    centres = look_up(p["centre.weight"], stories)
    keys = (window.unsqueeze(2) + centres).flatten(1, 2)
    values = (centres + look_up(p["temporal_value.weight"], ages).unsqueeze(2)).flatten(1, 2)
    empty = stories.flatten(1, 2) == 0
    q = encode(p, questions, "question_mask.weight")
    for hop in range(settings["hops"]):
        scores = (keys * q.unsqueeze(1)).sum(-1).masked_fill(empty, -torch.inf)
        attention = torch.softmax(scores, dim=-1)
        read = (attention.unsqueeze(-1) * values).sum(1)
        shown += [("question", hop + 1, q), ("word attention", hop + 1, attention), ("read", hop + 1, read)]
        q = F.linear(q + read, p[f"hop{hop}.weight"])
    return F.linear(q, p["answer.weight"])


def shapes_of(settings):
    shapes = {"embed.weight": (V, D), "answer.weight": (V, D)}
    if settings["encoding"] == "mask":
        shapes |= {"question_mask.weight": (QUESTION, D), "story_mask.weight": (LENGTH, D)}
    if settings["memory"] == "entities":
        m = settings["slots"]
        shapes |= {"entities.keys": (m, D), "entities.gate.bias": (m,), "entities.state.bias": (D,),
                   "entities.state.weight": (D, D), "entities.sentence.weight": (D, D), "entities.key.weight": (D, D),
                   "read.weight": (D, D), "prelu.weight": (D,)}
    elif settings["memory"] == "fast-weights":
        shapes |= {"fast.input.weight": (D, D), "fast.input.bias": (D,), "fast.state.weight": (D, D),
                   "fast.norm.weight": (D,), "fast.norm.bias": (D,), "read.weight": (D, D), "prelu.weight": (D,)}
    else:
        shapes |= {"centre.weight": (V, D), "temporal_key.weight": (SENTENCES + 1, D),
                   "temporal_value.weight": (SENTENCES + 1, D)}
        shapes |= {f"hop{hop}.weight": (D, D) for hop in range(settings["hops"])}
    return shapes


def one_case(settings, data, generator):
    p = {name: torch.randn(shape, dtype=torch.float64, generator=generator).mul_(0.6).requires_grad_()
         for name, shape in shapes_of(settings).items()}
    shown = []
    memory = {"entities": entities, "key-value": key_value, "fast-weights": fast_weights}[settings["memory"]]
    logits = memory(p, data, settings, shown)
    loss = F.cross_entropy(logits, data[3])
    loss.backward()
    flat = lambda tensor: tensor.detach().flatten().tolist()
    return settings | {"parameters": {name: flat(tensor) for name, tensor in p.items()},
                       "shown": [{"name": name, "hop": hop, "data": flat(what)} for name, hop, what in shown],
                       "logits": flat(logits), "loss": loss.item(),
                       "grad": {name: flat(tensor.grad) for name, tensor in p.items()}}


def main():
    generator = torch.Generator().manual_seed(17)
    data = draw_data(generator)
    cases = [{"memory": "entities", "slots": 3, "hops": 1, "encoding": "mask"},
             {"memory": "entities", "slots": 2, "hops": 2, "encoding": "bag"},
             {"memory": "key-value", "hops": 2, "encoding": "bag"},
             {"memory": "key-value", "hops": 1, "encoding": "mask"},
             {"memory": "fast-weights", "hops": 1, "encoding": "bag", "steps": 2, "decay": 0.8, "rate": 0.6},
             {"memory": "fast-weights", "hops": 2, "encoding": "mask", "steps": 1, "decay": 0.95, "rate": 0.5}]
    print(json.dumps({"V": V, "d": D, "stories": data[0].tolist(), "ages": data[1].tolist(),
                      "questions": data[2].tolist(), "answers": data[3].tolist(),
                      "cases": [one_case(settings, data, generator) for settings in cases]}))


if __name__ == "__main__":
    main()
