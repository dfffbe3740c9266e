"""What told too much, and what would have told less: tried on what was really sent, made with one click, undone.

Takes the incidents of the last month with their anomalies; gives proposals with their effect, and keeps what was done
so that it can be taken back. Sensitivities, monitors and marks stay what they are: a fix only sets them.
"""

from cliffwatch.notify.noise.model import Fix, FixKind, Noise, Proposal, Review
from cliffwatch.notify.noise.service import NoiseReviews, key_of, series_of

__all__ = ["Fix", "FixKind", "Noise", "NoiseReviews", "Proposal", "Review", "key_of", "series_of"]
