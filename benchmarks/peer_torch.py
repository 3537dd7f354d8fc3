"""The same formulas in PyTorch, eager, channels first."""

import torch
import torch.nn.functional as F  # noqa: N812 - as in PyTorch's documentation


def make(problem, engine):
    """Returns a training step and the check of `worker.py`."""
    is_mnist, channels = problem["kind"] == "mnist", problem["state"].shape[-1]
    start = torch.tensor(problem["state"].transpose(0, 3, 1, 2)).contiguous()
    target = torch.tensor(problem["target"]).movedim(-1, -3)
    mask = None if problem["mask"] is None else torch.tensor(problem["mask"])[:, None]
    sobel = torch.tensor(problem["sobel"]).permute(2, 0, 1)[:, None].repeat(channels, 1, 1, 1)

    def living_mask(state):
        return F.max_pool2d(state[:, 3:4], 3, 1, 1) > 0.1

    def fire(state, fire_rate):
        return torch.rand_like(state[:, :1]) <= fire_rate

    def growing(state, weights, fire_rate, noise_std):
        alive = living_mask(state)
        perception = F.conv2d(state, sobel, padding=1, groups=channels)
        update = F.conv2d(F.relu(F.conv2d(perception, *weights[:2])), *weights[2:])
        state = state + update * fire(state, fire_rate)
        return state * (alive & living_mask(state))

    def mnist(state, weights, fire_rate, noise_std):
        hidden = F.relu(F.conv2d(state, *weights[:2], padding=1))
        update = F.conv2d(F.relu(F.conv2d(hidden, *weights[2:4])), *weights[4:])
        update = update + noise_std * torch.randn_like(update)
        changes = fire(state, fire_rate) & (state[:, :1] > 0.1)
        return state + F.pad(update * changes, (0, 0, 0, 0, 1, 0))

    network = mnist if is_mnist else growing

    def run(parts, steps, fire_rate, noise_std):
        state = start
        for _ in range(steps):
            if "matrix" in parts:
                (matrix,) = parts["matrix"]
                matrix = torch.triu(matrix) + torch.triu(matrix, 1).T
                alive = living_mask(state)
                product = torch.einsum("bchw,cd->bdhw", state, matrix)
                state = torch.clamp(product, -3.0, 3.0) * alive
            following = network(state, parts["host"], fire_rate, noise_std)
            if mask is not None:
                adversaries = network(state, parts["adversary"], fire_rate, noise_std)
                following = following * (1.0 - mask) + adversaries * mask
            state = following
        if is_mnist:
            return state, torch.square(target - state[:, -10:]).sum() / 2.0 / len(state)
        return state, torch.square(state[:, :4] - target).mean()

    def load():
        parts = {
            name: [torch.tensor(a.transpose(3, 2, 0, 1) if a.ndim == 4 else a) for a in arrays]
            for name, arrays in problem["parts"].items()
        }
        for tensor in parts[problem["trained"]]:
            tensor.requires_grad_()
        return parts

    def forward_and_back(parts, steps, fire_rate, noise_std):
        state, loss = run(parts, steps, fire_rate, noise_std)
        loss.backward()
        for tensor in parts[problem["trained"]]:
            tensor.grad /= tensor.grad.norm() + 1e-8
        return state, loss

    parts = load()
    optimizer = torch.optim.Adam(parts[problem["trained"]], problem["learning_rate"], eps=1e-7)

    def train():
        optimizer.zero_grad()
        given = problem["steps"], problem["fire_rate"], problem["noise_std"]
        _, loss = forward_and_back(parts, *given)
        optimizer.step()
        return loss.item()

    def check(steps):
        fresh = load()
        state, _ = forward_and_back(fresh, steps, 1.0, 0.0)
        gradients = [tensor.grad for tensor in fresh[problem["trained"]]]
        return {"state": state.detach().movedim(1, -1)} | {
            f"gradient {i}": g.permute(2, 3, 1, 0) if g.ndim == 4 else g
            for i, g in enumerate(gradients)
        }

    return train, check
