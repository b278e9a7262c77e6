"""The rows of Table 2 as data: papers, licences, published weights, and what was reproduced."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

NO_LICENCE = "none found"
PRENET = "https://github.com/csdwren/PReNet, commit 6d908d1, logs/SET/NETWORK/net_latest.pth"
RETRAINED = "https://github.com/csdwren/RecDerain, commit 5b2ad01"
NO_CODE = "no public code was found; the preprint alone does not settle every layer"
SEEDED = "outputs for random weights; the published weights were not in reach"
UNPUBLISHED = "outputs for random weights; no weights for rain are published"
OUTPUTS = "score saved outputs with `derain evaluate --outputs`"


@dataclass(frozen=True)
class Entry:
    """A system of Table 2, or the base of one."""

    row: str
    """Name in Table 2."""
    paper: str
    year: int
    venue: str
    code: str
    code_licence: str = NO_LICENCE
    """Licence in the repository; none of them states another one for its weights."""
    networks: tuple[str, ...] = ()
    """Names for `NAME:PATH`; empty if the network cannot be built here."""
    weights: str = ""
    """Where the weights are published."""
    sha256: Mapping[str, str] = field(default_factory=dict)
    """Checksums of published files; of a checkpoint of TensorFlow, that of its index."""
    reproduced: str = ""
    """Whether the printed figure was reproduced."""
    missing: str = ""
    """What a network that cannot be built lacks."""


TABLE2 = [
    Entry(
        "RESCAN",
        "Recurrent Squeeze-and-Excitation Context Aggregation Net for Single Image Deraining",
        2018,
        "ECCV, arXiv 1807.05698",
        "https://github.com/XiaLiPKU/RESCAN",
        "MIT",
        networks=("rescan",),
        weights=f"none by its authors; retrained: {RETRAINED}, logs/RainHeavy and RainLight/RESCAN",
        sha256={
            "RainHeavy/RESCAN/latest": (
                "237e29616891f599334c236def92ce216ef9662ca1f77437643ac4b1987c58a3"
            ),
            "RainLight/RESCAN/latest": (
                "49bfd63951fc6fde251de82db9af42ef995db9d00113a585cd171c51fb533017"
            ),
        },
        reproduced="outputs, not figures: the weights are those of another group",
    ),
    Entry(
        "NLEDN",
        "Non-locally Enhanced Encoder-Decoder Network for Single Image De-raining",
        2018,
        "ACM MM, arXiv 1808.01491",
        "https://github.com/AlexHex7/NLEDN",
        networks=("nledn",),
        weights="https://github.com/AlexHex7/NLEDN, commit c5b2a8e, weights/net_SET.pth",
        sha256={
            "net_Rain100H.pth": "76e3242194c7319bde7b8c7656729e4fbed5c102e7245667f4328e376f49e30b",
            "net_Rain100L.pth": "aa95a3d628917a56fda29d21871f8d929ed11d05283a19e698df31bc051b9daf",
            "net_DDN.pth": "7d19219a8bce57ec6d43fcf75b898a357dc094e502537c3ee4bea0e5e9e2fa14",
            "net_DID.pth": "625c01ac8a0baf5956c771f428c569d3c4166dafd99e4186dc67b4a8b6bb8476",
        },
        reproduced="outputs; figures on 65 of 100 pairs of each set",
    ),
    Entry(
        "SSIR",
        "Semi-Supervised Transfer Learning for Image Rain Removal (SIRR)",
        2019,
        "CVPR, arXiv 1807.11078",
        "https://github.com/wwzjer/Semi-supervised-IRR",
        networks=("sirr",),
        weights="https://github.com/wwzjer/Semi-supervised-IRR, commit dca2a89, model/model.index; "
        f"retrained: {RETRAINED}, logs/RainHeavy and RainLight/SIRR/model-epoch-15.index",
        sha256={
            "model.index": "0a1f6517cf92c84783268ccc07c21b3faa09e997e1ceac76e49c5f9f52cd0628",
            "RainHeavy/SIRR/model-epoch-15.index": (
                "4923c62d03db530d3f82b86dae4070472ba9eb208ce9df590c4c19a6d80b6ed9"
            ),
            "RainLight/SIRR/model-epoch-15.index": (
                "da939f28fecf77bbee8460569a1c0e06c82b4c5a73b3c6f87ca4e6b0f9d29b81"
            ),
        },
        reproduced="outputs; figures on 65 pairs of each set",
    ),
    Entry(
        "PReNet",
        "Progressive Image Deraining Networks: A Better and Simpler Baseline",
        2019,
        "CVPR, arXiv 1901.09221",
        "https://github.com/csdwren/PReNet",
        networks=("prenet", "prenet_r", "prn", "prn_r"),
        weights=PRENET,
        sha256={
            f"{network}-{data}": checksum
            for network, by_data in {
                "prenet": {
                    "Rain100H": "127c0098787c5272f1f8583f6c5202e7ef674f750cd145a1691912a6d9e96210",
                    "Rain100L": "cb9b743bb33cf6e5c56ba45f8ade93add46266dea9fa582e1934dc5eed942333",
                    "Rain1400": "d5744dc2e35d73187a3f34936b3413884d293277073ffb78b961a78e65337879",
                },
                "prenet_r": {
                    "Rain100H": "ece8127c651cf49026d998fa36857cb9d462c92cf535b640a377fc025f765b5f",
                    "Rain100L": "31dd4419cdb0f4da623d974747113d60e2c22803598c39dcf03d789f86a7f62b",
                    "Rain1400": "c639c19b342d6ae977b7ff8a4b2fbeb24179510a6e57b8bf5ef32d6b071fc8d5",
                },
                "prn": {
                    "Rain100H": "f1d56a7df0851eb087652663781d3f34c4c37a4c7ddd9a3f0802abbede1a06c2",
                    "Rain100L": "ed4be5b78f76dcec5c781e1655dee48c2a90b56993de555945d72e31848aea99",
                    "Rain1400": "c6620860a51b54afec0c1eebe412f0f1ca00128100f5b23c13758605206a0bf2",
                },
                "prn_r": {
                    "Rain100H": "99242ce096c9c617bd529a5e189797e8955a4b8611d355974c7c1c64a18b9074",
                    "Rain100L": "87ee3b1c027b33e7e532a4881c3b077d100cf40c65dd2843690600e3023acee0",
                    "Rain1400": "c0f7f18f3d33e26f50af8c693494a03c2776c627140a1d8e0514edd53e9398fb",
                },
            }.items()
            for data, checksum in by_data.items()
        },
        reproduced="outputs; figures on 65 of 100 pairs of each set",
    ),
    Entry(
        "SpaNet",
        "Spatial Attentive Single-Image Deraining with a High Quality Real Rain Dataset",
        2019,
        "CVPR, arXiv 1904.01538",
        "https://github.com/stevewongv/SPANet",
        "BSD-3-Clause",
        networks=("spanet",),
        weights="https://github.com/stevewongv/SPANet, commit 82d2889, model/latest (real rain); "
        f"retrained: {RETRAINED}, logs/RainHeavy/SPANet/step_40000, RainLight/SPANet/latest",
        sha256={
            "model/latest": "3b5d58d0f4569004a0d2dc6f4373463bd60991fc8a04c061361357cf012e5eb0",
            "RainHeavy/SPANet/step_40000": (
                "53c8c823c7138a7bb3c73db1be38a92bdc78e20bd206bbc202b6dfaa7d8e2189"
            ),
            "RainLight/SPANet/latest": (
                "c6c6c10c1371fd31fd620143e79cb786fb02d984c538355372cbeeca00730192"
            ),
        },
        reproduced="outputs; the printed figures are of other weights",
    ),
    Entry(
        "DCSFN",
        "DCSFN: Deep Cross-scale Fusion Network for Single Image Rain Removal",
        2020,
        "ACM MM, arXiv 2008.00767",
        "https://github.com/Ohraincu/DCSFN",
        networks=("dcsfn",),
        weights="Baidu, linked in the README",
        reproduced=SEEDED,
    ),
    Entry(
        "MSPFN",
        "Multi-Scale Progressive Fusion Network for Single Image Deraining",
        2020,
        "CVPR, arXiv 2003.10985",
        "https://github.com/kuijiang94/MSPFN",
        networks=("mspfn", "mspfn_m17n1"),
        weights="Google Drive and Baidu, linked in the README (TensorFlow; network mspfn_m17n1)",
        reproduced=SEEDED,
    ),
    Entry(
        "RCDNet",
        "A Model-Driven Deep Neural Network for Single Image Rain Removal",
        2020,
        "CVPR, arXiv 2005.01333",
        "https://github.com/hongwang01/RCDNet",
        networks=("rcdnet",),
        weights="https://github.com/hongwang01/RCDNet, commit c6e1539, "
        "Pretrained Model/{rain100L,rain100H,rain1400,SPA-Data}/model_best.pt",
        reproduced=SEEDED,
    ),
    Entry(
        "Syn2Real",
        "Syn2Real Transfer Learning for Image Deraining Using Gaussian Processes",
        2020,
        "CVPR, arXiv 2006.05580",
        "https://github.com/rajeevyasarla/Syn2Real",
        "MIT",
        networks=("syn2real",),
        weights="https://github.com/rajeevyasarla/Syn2Real, commit 147d596, "
        "{DDN_SIRR,DIDMDN_DDN,DIDMDN_JORDER200L,DIDMDN_Rain800}_withGP/derain_best",
        reproduced=SEEDED,
    ),
    Entry(
        "MPRNet",
        "Multi-Stage Progressive Image Restoration",
        2021,
        "CVPR, arXiv 2102.02808",
        "https://github.com/swz30/MPRNet",
        "Academic Public License (no commercial use)",
        networks=("mprnet",),
        weights="Google Drive, linked in Deraining/pretrained_models/README.md (Rain13K)",
        reproduced=SEEDED,
    ),
    Entry(
        "DualGCN",
        "Rain Streak Removal via Dual Graph Convolutional Network",
        2021,
        "AAAI",
        "https://xueyangfu.github.io/paper/2021/AAAI/code.zip; a copy of the network is in "
        "https://github.com/XiaoXiao-Woo/derain, commit 40d3880",
        networks=("dualgcn",),
        weights="TrainedModel/ in the authors' code.zip (TensorFlow)",
        reproduced=SEEDED,
    ),
    Entry(
        "SwinIR",
        "SwinIR: Image Restoration Using Swin Transformer",
        2021,
        "ICCVW, arXiv 2108.10257",
        "https://github.com/JingyunLiang/SwinIR",
        "Apache-2.0",
        networks=("swinir",),
        weights="none for rain; those of Table 2 are its authors' own",
        reproduced=UNPUBLISHED,
    ),
    Entry(
        "SSID-KD",
        "Semi-Supervised Image Deraining Using Knowledge Distillation",
        2022,
        "IEEE TCSVT",
        "https://github.com/cuiyixin555/SSID-KD",
        networks=("ssid-kd",),
        weights="https://github.com/cuiyixin555/SSID-KD, commit 57ac0fc, "
        "trained_model/{Rain200H,Rain200L,Rain1200,Rain1400}/net_latest, and SET+Real/net_latest",
        reproduced=SEEDED,
    ),
    Entry(
        "RadNet",
        "Robust Attention Deraining Network for Synchronous Rain Streaks and Raindrops Removal",
        2021,
        "TechRxiv, doi 10.36227/techrxiv.17205848",
        "none found",
        "-",
        missing=f"{NO_CODE}; {OUTPUTS}",
    ),
    Entry(
        "Wang et al.",
        "Online-Updated High-Order Collaborative Networks for Single Image Deraining",
        2022,
        "AAAI, arXiv 2202.06568",
        "https://github.com/supersupercong/"
        "Online-updated-High-order-Collaborative-Networks-for-Single-Image-Deraining",
        "CC BY-NC-SA 4.0",
        networks=("wang",),
        weights="none found",
        reproduced=UNPUBLISHED,
    ),
    Entry(
        "HCT-FFN",
        "Hybrid CNN-Transformer Feature Fusion for Single Image Deraining",
        2023,
        "AAAI, doi 10.1609/aaai.v37i1.25111",
        "https://github.com/cschenxiang/HCT-FFN",
        networks=("hct-ffn",),
        weights="https://github.com/cschenxiang/HCT-FFN, commit 0aa6526, "
        "experiment/HCT-FFN/model/model_best_SET.pt",
        sha256={
            "model_best_Rain100H.pt": (
                "3c072706a7693c55e60324db0bea2eefd32edea1247b6bee21f0c9c4d62a4a29"
            ),
            "model_best_Rain100L.pt": (
                "fa7b9d3227743844da34036a781ca996245aab1c199ce4a21b719c7d15596d8e"
            ),
        },
        reproduced="outputs; figures on crops of eight pairs of each set",
    ),
]
"""Rows in the order of the table, without the paper's own network."""

BESIDE = [
    Entry(
        "DDN",
        "Removing Rain from Single Images via a Deep Detail Network",
        2017,
        "CVPR",
        "https://github.com/XMU-smartdsp/Removing_Rain (compiled MATLAB)",
        networks=("ddn",),
        weights=f"retrained: {RETRAINED}, logs/RainHeavy and RainLight/DDN/model-epoch-15.index",
        sha256={
            "RainHeavy/DDN/model-epoch-15.index": (
                "21da3796d1355b17cc1a78a1086d387ea088e95d11a3a7ad9b4e29f3f8e99eb5"
            ),
            "RainLight/DDN/model-epoch-15.index": (
                "2e35f166b48d926c8b0fcd95369d70e2eab72155933974bb0c877875724495fe"
            ),
        },
        reproduced="outputs, not figures: the weights are those of another group",
    )
]
"""Systems outside the table; DDN is the network that SSIR trains."""

GMACS = {
    "prenet": 66.25,
    "prenet_r": 66.25,
    "prn": 37.26,
    "prn_r": 37.26,
    "spanet": 34.41,
    "nledn": 23.87,
    "hct-ffn": 311.69,
    "rescan": 32.08,
    "ddn": 3.68,
    "sirr": 3.68,
    "rcdnet": 209.35,
    "dcsfn": 73.22,
    "mspfn": 188.16,
    "mspfn_m17n1": 136.82,
    "syn2real": 20.57,
    "mprnet": 140.98,
    "dualgcn": 180.06,
    "swinir": 800.30,
    "ssid-kd": 257.26,
    "wang": 140.71,
}
"""10^9 multiply-accumulates at 256x256, from `complexity.count_gmacs`, which takes a minute."""


def find_entry(name: str) -> Entry | None:
    """Return the entry of a network, or of a row whatever its case; None for another name."""
    return next(
        (
            entry
            for entry in (*TABLE2, *BESIDE)
            if name in entry.networks or name.casefold() == entry.row.casefold()
        ),
        None,
    )


def known_file(sha256: str) -> str | None:
    """Return the name of the published file with this checksum, or None."""
    return next(
        (
            name
            for entry in (*TABLE2, *BESIDE)
            for name, checksum in entry.sha256.items()
            if checksum == sha256
        ),
        None,
    )
