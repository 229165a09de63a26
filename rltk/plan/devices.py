"""GPUs to plan for. What a vendor states has its data sheet as source; prices and efficiencies are assumptions."""

from typing import NamedTuple


class Device(NamedTuple):
    name: str
    flops: float
    """Dense bfloat16 FLOP/s, as stated; nothing reaches them."""
    bandwidth: float
    """Bytes a second."""
    memory: float
    """Bytes."""
    link: float
    """Bytes a second to another GPU of its node, in one direction."""
    dollars_an_hour: float
    source: str
    price_source: str


OFFERS = "assumed: the order of on-demand offers in 2025; --price says what yours costs"
DEVICES = (
    Device("H100", 989e12, 3.35e12, 80e9, 450e9, 3.0, "NVIDIA H100 SXM data sheet", OFFERS),
    Device("H200", 989e12, 4.8e12, 141e9, 450e9, 3.8, "NVIDIA H200 SXM data sheet", OFFERS),
    Device("A100", 312e12, 2.039e12, 80e9, 300e9, 1.8, "NVIDIA A100 80GB SXM data sheet", OFFERS),
    Device("4090", 165.2e12, 1.008e12, 24e9, 31.5e9, 0.5, "NVIDIA Ada architecture whitepaper, RTX 4090", OFFERS),
)
USABLE = 0.9
"""Share of a GPU's memory that a step may fill: the rest goes to the driver, to kernels and to fragmentation."""
TRAINING_EFFICIENCY = 0.4
"""Share of the stated FLOP/s that training reaches; assumed, as published runs reach 0.3 to 0.5. --measure measures."""
SAMPLING_EFFICIENCY = 0.5
"""Share of the stated bandwidth that decoding reaches; assumed likewise."""
BETWEEN_NODES = 50e9
"""Bytes a second to a GPU of another node, in one direction: a 400 Gb/s adapter a GPU, assumed."""
TO_HOST = 25e9
"""Bytes a second between a GPU and its host's memory, assumed for PCIe 4 of 16 lanes."""
MEETING = 15e-6
"""Seconds in which GPUs that split a server's weights exchange a layer's result of one token, assumed."""
LINK_EFFICIENCY = 0.7
"""Share of a link's bandwidth that collective operations reach, assumed."""
