"""RMSNorm in PyTorch by the library, with its gradients: a function for torch.autograd, checked against PyTorch's own."""
import sys

try:
    import torch
    import ckl
except ImportError as error:
    print(f"SKIPPED: {error}")
    sys.exit(77)


class RmsNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight):
        rstd = torch.empty(x.shape[:-1], device=x.device)  # what the gradient needs of the forward pass
        y = ckl.norm("rmsnorm", x, weight, rstd=rstd)
        ctx.save_for_backward(x, weight, rstd)
        return y

    @staticmethod
    def backward(ctx, dy):
        x, weight, rstd = ctx.saved_tensors
        dweight = torch.empty_like(weight)
        dx = ckl.norm_backward("rmsnorm", x, dy, rstd, weight, dweight=dweight)
        return dx, dweight


def main():
    if not ckl.supported():
        print("SKIPPED: no Hopper GPU")
        sys.exit(77)
    torch.manual_seed(1)
    x = torch.randn(1000, 4096, device="cuda", requires_grad=True)
    weight = torch.randn(4096, device="cuda", requires_grad=True)
    dy = torch.randn_like(x)
    y = RmsNorm.apply(x, weight)
    gradients = torch.autograd.grad(y, (x, weight), dy)
    expected = torch.nn.functional.rms_norm(x, [4096], weight, 1e-5)
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(gradients, torch.autograd.grad(expected, (x, weight), dy), rtol=1e-4, atol=1e-4)
    print("RMSNorm and its gradients are PyTorch's")


if __name__ == "__main__":
    main()
