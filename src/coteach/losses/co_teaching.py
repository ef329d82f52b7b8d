"""Two networks teach each other on soft labels (Xiao et al. 2026, eq. 6-11).

One step: the curriculum admits the most confident items (eq. 7); each network ranks those of a class by their
plain loss and keeps the smallest (eq. 9: J_A, J_B); each learns from what the other kept, weighted by
confidence (eq. 11: ``Σ_{J_B} W·l_A / |J_B| + Σ_{J_A} W·l_B / |J_A| + λ·L_reg``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from jaxtyping import Float, Int
from torch import Tensor

from coteach.errors import InputError, OptionError
from coteach.losses.class_weights import check_class_weights, weighted
from coteach.losses.cross_entropy_blocks import cross_entropy_and_neighborhood
from coteach.losses.cross_update import cross_update
from coteach.losses.figures import agreement, selection_figures
from coteach.losses.neighborhood import (
    features_for,
    neighbor_similarity,
    neighborhood_consistency,
    per_pair,
)
from coteach.losses.soft_cross_entropy import check_same_items, masked_mean, soft_cross_entropy
from coteach.losses.soft_dice import soft_dice
from coteach.losses.target import as_soft_target, hard_label
from coteach.selection.forgetting import ForgetEnd
from coteach.selection.schedules import check_not_negative
from coteach.selection.soft_label_choice import Balance, RetainBy, SoftLabelChoice
from coteach.types import LossTerms, Selection, SoftTarget


class CoTeachingLoss:
    """Curriculum, class-balanced small-loss selection, cross-update and neighbourhood consistency.

    Args:
        name: how the loss is called in logs.
        num_classes: ``C``.
        e_warm: epochs over which retention and forget rate rise.
        p_start: share of the items admitted at epoch 0.
        p_end: share admitted from epoch ``e_warm`` on.
        lambda_reg: weight of the neighbourhood term (eq. 10), the mean over ordered pairs and both networks;
            0 leaves it out.
        forget_end: forget rate from epoch ``e_warm`` on; one for all, or one a class; ``auto`` takes the noise rate
            that images show whose labels are held out before ``e_warm``, ``auto_by_class`` that of each class
            (``forget.noise`` is the estimate: call its ``begin_epoch`` before each epoch; it belongs into checkpoints).
        balance: take the small-loss share of each class over the ``batch``, in each ``sample`` by itself, or over the ``set``
            as the latest batches have shown it (for images; ``forget.recent`` then holds the losses, which belong into
            checkpoints); ``none`` ranks the whole batch, whatever the classes (Han et al. 2018, algorithm 1).
        mask_key: key of the label distributions in the target.
        weight_key: key of the confidence in the target.
        seed: decides between equal confidences and equal losses.
        retain_by: the share admitted is that of the ``batch``, of each ``image``, or of the ``set`` as it is known
            from the batches so far (``running`` then holds the estimate, which belongs into checkpoints).
        regularize: the neighbourhood term is that of ``both`` networks, averaged, or of network ``a`` alone.
        sync: rank the items of all processes together (DDP): as one process on the whole batch would, for the price
            of an exchange of losses. Otherwise each process ranks its own batch.
        class_weights: one a class; an item's loss weighs as the classes of its label do, its rank does not. None
            weighs all classes alike.
        dice_weight: adds this much of each network's soft Dice loss on what the other chose (over the items of its own
            process); 0 leaves it out.

    Attributes:
        current_epoch: to be set by the training loop before each epoch.
        current_step: to be set before each batch; decides, with the seed, between ties.

    Raises:
        OptionError: a rate is no share, a weight is negative, there is not one a class, or an option is unknown.
    """

    def __init__(
        self,
        name: str,
        num_classes: int,
        e_warm: float = 20,
        p_start: float = 0.5,
        p_end: float = 0.95,
        lambda_reg: float = 0.1,
        *,
        forget_end: ForgetEnd = 0.3,
        balance: Balance = "batch",
        mask_key: str = "mask",
        weight_key: str = "w_conf",
        seed: int = 0,
        retain_by: RetainBy = "batch",
        regularize: Literal["both", "a"] = "both",
        sync: bool = False,
        class_weights: Sequence[float] | None = None,
        dice_weight: float = 0.0,
    ) -> None:
        if regularize not in ("both", "a"):
            raise OptionError("regularize", f"{regularize!r} is unknown", "use 'both' or 'a'")
        for term, factor in (("lambda_reg", lambda_reg), ("dice_weight", dice_weight)):
            check_not_negative(term, factor, "use 0 to leave the term out")
        check_class_weights(class_weights, num_classes)
        self.name = name
        self.num_classes = num_classes
        self.choice = SoftLabelChoice(
            num_classes,
            e_warm,
            p_start,
            p_end,
            forget_end=forget_end,
            balance=balance,
            retain_by=retain_by,
            seed=seed,
            sync=sync,
        )
        self.forget, self.running = self.choice.forget, self.choice.running
        self.curriculum = self.choice.curriculum
        self.lambda_reg = lambda_reg
        self.mask_key = mask_key
        self.weight_key = weight_key
        self.regularize = regularize
        self.sync = sync
        self.class_weights = class_weights
        self.dice_weight = dice_weight
        self.current_epoch: float = 0
        self.current_step = 0

    def compute(
        self, prediction: Tensor | Mapping[str, Tensor], target: Tensor | Mapping[str, Tensor]
    ) -> Float[Tensor, ""]:
        """The scalar loss of a batch.

        Args:
            prediction: in training a mapping with ``logits_a`` and ``logits_b`` ``(B, C, H, W)`` and, if
                ``lambda_reg`` > 0, ``features`` ``(B, F, H, W)``; in validation plain logits ``(B, C, H, W)``,
                for which the loss is the confidence-weighted soft cross-entropy.
            target: label distributions ``(B, C, H, W)``, or a mapping that holds them and the confidence.

        Returns:
            Scalar; the networks' graphs are disjoint, one backward serves both.

        Raises:
            InputError: a key is missing or shapes do not fit.
        """
        soft = as_soft_target(target, self.num_classes, mask_key=self.mask_key, weight_key=self.weight_key)
        if isinstance(prediction, Mapping):
            for key in ("logits_a", "logits_b"):
                if key not in prediction:
                    raise InputError(
                        "prediction", f"no {key!r} among {sorted(prediction)}", "give both networks'"
                    )
            return self.terms(
                prediction["logits_a"], prediction["logits_b"], soft, prediction.get("features")
            ).total()
        check_same_items(prediction, soft.probs)
        return masked_mean(soft_cross_entropy(prediction, soft.probs), soft.valid, soft.weight)

    __call__ = compute

    def terms(
        self,
        logits_a: Tensor,
        logits_b: Tensor,
        target: SoftTarget,
        features: Tensor | None,
        ids: Int[Tensor, " b"] | None = None,
    ) -> LossTerms:
        """The same by parts: one term a network, L_reg shared, and figures for the log.

        Args:
            logits_a: ``(B, C, *S)`` of network A.
            logits_b: ``(B, C, *S)`` of network B.
            target: the labels.
            features: ``(B, F, H, W)``, needed if ``lambda_reg`` > 0.
            ids: ``(B,)`` of the samples, by which labels are held out where the forget rate is estimated; without them
                none is, and what networks say of labels they may have learned is taken instead: too low a rate.

        Returns:
            Terms of networks ``a`` and ``b``.

        Raises:
            InputError: shapes do not fit, or the features are missing.
        """
        check_same_items(logits_a, target.probs)
        check_same_items(logits_b, target.probs)
        losses_a, losses_b, shared = self._losses(logits_a, logits_b, target, features)
        label = hard_label(target.probs)
        epoch, step = self.current_epoch, self.current_step
        admitted = self.choice.admit((logits_a, logits_b), label, target, ids, epoch, step)
        j_a = self.choice.choose("a", losses_a, label, admitted.mask, epoch, step)
        j_b = self.choice.choose("b", losses_b, label, admitted.mask, epoch, step)
        weight = weighted(target.weight, target.probs, self.class_weights)
        loss_a, loss_b = cross_update(losses_a, losses_b, weight, j_a, j_b, sync=self.sync)
        return LossTerms(
            networks={
                "a": {"cross_update": loss_a, **self._dice(logits_a, target, j_b)},
                "b": {"cross_update": loss_b, **self._dice(logits_b, target, j_a)},
            },
            shared=shared,
            logs={
                "retention_rate": self.curriculum.retention_rate(self.current_epoch),
                **self.forget.figures(self.current_epoch),
                **selection_figures(label, target.valid, self.num_classes, admitted.mask, j_a.mask, j_b.mask),
                "agreement": agreement(logits_a, logits_b, target.valid),
            },
            chosen={"a": j_a.mask, "b": j_b.mask},
            items=target.valid.sum(),
        )

    def compute_neighborhood_reg(
        self,
        logits: Float[Tensor, "b c h w"],
        features: Float[Tensor, "b f h w"],
        valid: Tensor | None = None,
    ) -> Float[Tensor, ""]:
        """Eq. 10 for one network: the mean over ordered valid pairs, without ``lambda_reg``."""
        return neighborhood_consistency(logits, features, valid)

    def _losses(
        self, logits_a: Tensor, logits_b: Tensor, target: SoftTarget, features: Tensor | None
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """The plain losses of both networks, and what they share."""
        if self.lambda_reg == 0 or logits_a.ndim == 2:  # images with one label have no neighbours
            losses_a, losses_b = (soft_cross_entropy(z, target.probs) for z in (logits_a, logits_b))
            return losses_a, losses_b, {}
        if features is None:
            raise InputError(
                "features", "missing although lambda_reg > 0", "give them or set lambda_reg to 0"
            )
        similarity = neighbor_similarity(features_for(logits_a, features), target.valid)
        losses_a, total = cross_entropy_and_neighborhood(logits_a, target.probs, similarity)
        if self.regularize == "a":
            losses_b = soft_cross_entropy(logits_b, target.probs)
        else:
            losses_b, of_b = cross_entropy_and_neighborhood(logits_b, target.probs, similarity)
            total = (total + of_b) / 2
        consistency = per_pair(total, features, target.valid, sync=self.sync)
        return losses_a, losses_b, {"neighborhood": self.lambda_reg * consistency}

    def _dice(self, logits: Tensor, target: SoftTarget, chosen: Selection) -> dict[str, Tensor]:
        """A network's Dice term on what the other chose, if it is wanted."""
        if self.dice_weight == 0:
            return {}
        return {"dice": self.dice_weight * soft_dice(logits, target.probs, chosen.mask, target.weight)}
