"""Own code: what the files of a run register, and the models of it that this process trains.

In: registrations of loaded files. Out: ``OwnCode``. Nothing here executes a file:
``trainer.own_code.loader`` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from trainer.config import Config
from trainer.features.own_blocks import FeatureBlock
from trainer.models.base import Model
from trainer.own_description import OwnDescription, OwnModel


@dataclass(frozen=True)
class OwnCode:
    """All that the files of a run register, in the order of the files.

    Attributes:
        use: Name and SHA-256 of each file, as in the configuration.
        blocks: Feature blocks.
        networks: Names of networks.
        models: Models by name.
    """

    use: tuple[str, ...] = ()
    blocks: tuple[FeatureBlock, ...] = ()
    networks: tuple[str, ...] = ()
    models: Mapping[str, Model] = field(default_factory=dict)

    def describe(self, config: Config) -> OwnDescription:
        """Return the names and words that pages show without executing the files."""
        return OwnDescription(
            models={
                name: OwnModel(
                    title=model.title,
                    phrase=model.phrase,
                    step_title=model.step_title,
                    step_name=model.step_name,
                    inputs=model.inputs,
                    max_steps=model.max_steps(config) if name in config.models else 0,
                    has_importance=model.has_importance,
                    has_contributions=model.has_contributions,
                    has_attention=model.has_attention,
                    checked_s=model.checked_s,
                )
                for name, model in self.models.items()
            },
            networks=self.networks,
            features={name: text for block in self.blocks for name, text in block.words.items()},
        )


NO_CODE = OwnCode()
