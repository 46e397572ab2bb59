"""What NVIDIA's cards compute at most, by name."""

# TFLOPS in float32, TF32, fp16 and bf16: dense, without sparsity, tensor cores adding in float32, at boost clock. From NVIDIA's
# data sheets of each data-centre and workstation card, whose figures with sparsity are halved here, and from its white papers
# on GA102 (RTX 30), Ada (RTX 40) and Blackwell (RTX 50). The first card whose words are all in a name counts.
PEAKS = {
    "P100 SXM2": (10.6, None, 21.2, None), "P100": (9.3, None, 18.7, None),
    "V100 SXM2": (15.7, None, 125, None), "V100 PCIE": (14, None, 112, None),
    "T4": (8.1, None, 65, None), "2080 Ti": (13.4, None, 53.8, None),
    "A100": (19.5, 156, 312, 312), "A30": (10.3, 82, 165, 165), "A40": (37.4, 74.8, 149.7, 149.7),
    "A10": (31.2, 62.5, 125, 125), "A10G": (35, 35, 70, 70), "A6000": (38.7, 77.4, 154.8, 154.8),
    "3080": (29.8, 29.8, 59.5, 59.5), "3090 Ti": (40, 40, 80, 80), "3090": (35.6, 35.6, 71.2, 71.2),
    "L4": (30.3, 60, 121, 121), "L40": (90.5, 90.5, 181, 181), "L40S": (91.6, 183, 362, 362),
    "6000 Ada": (91.1, 182.1, 364.2, 364.2),
    "4070 Ti": (40.1, 40.1, 80.2, 80.2), "4080": (48.7, 48.7, 97.5, 97.5), "4090": (82.6, 82.6, 165.2, 165.2),
    "H100 PCIe": (51, 378, 756, 756), "H100 NVL": (60, 417, 835, 835), "H100": (67, 494, 989, 989),
    "H200 NVL": (60, 417, 835, 835), "H200": (67, 494, 989, 989), "GH200": (67, 494, 989, 989),
    "B200": (75, 1100, 2250, 2250), "5080": (56.3, 56.3, 112.6, 112.6), "5090": (104.8, 104.8, 209.5, 209.5),
}
ORDER = "float32", "TF32", "fp16", "bf16"
OTHERS = {"Ti", "SUPER", "D", "Laptop", "Max", "MIG"}


def peak(name: str, precision: str) -> float | None:
    """TFLOPS of the card that torch.cuda.get_device_name() names; None if the card is not in the list or lacks the precision."""
    words = set(name.replace("-", " ").split())
    for card, peaks in PEAKS.items():
        own = set(card.split())
        if own <= words and not any(_other(word) for word in words - own):
            return peaks[ORDER.index(precision)]
    return None


def _other(word: str) -> bool:
    """Whether with this word in its name it is another card, or a part of one, such as the virtual A10-24Q."""
    return word in OTHERS or word[:-1].isdigit() and word[-1] in "ABCQ"
