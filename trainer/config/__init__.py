"""The configuration of a run: every setting with its bounds, the presets, the environment names.

In: options, ``--set KEY=VALUE`` pairs, environment names of the notebook family. Out: a frozen
``Config``. Precedence: option, ``--set``, environment, preset, default.
"""

from trainer.config.environment import (
    environment_settings,
    environment_weights,
    is_switched_on,
    required_models,
    restarted_models,
)
from trainer.config.run_config import (
    SCHEMA,
    Config,
    ConfigError,
    allow_model,
    allow_own_names,
    bounds,
    is_own_name,
    setting_text,
    used_file,
    validate,
)
from trainer.config.run_options import (
    OF_FOLDS_FILE,
    PRESETS,
    WITHOUT_EFFECT,
    differences,
    flat_settings,
    make_config,
    overlay,
    parse_assignment,
    setting_names,
)
from trainer.config.sections import (
    EPOCHS,
    OWN_NAME,
    SIMULATED,
    BlendConfig,
    BoostingConfig,
    FoldsConfig,
    FramesConfig,
    NetworkConfig,
    OwnFile,
    is_simulated,
)
from trainer.config.setting_bounds import explain

__all__ = [
    "EPOCHS",
    "OF_FOLDS_FILE",
    "OWN_NAME",
    "PRESETS",
    "SCHEMA",
    "SIMULATED",
    "WITHOUT_EFFECT",
    "BlendConfig",
    "BoostingConfig",
    "Config",
    "ConfigError",
    "FoldsConfig",
    "FramesConfig",
    "NetworkConfig",
    "OwnFile",
    "allow_model",
    "allow_own_names",
    "bounds",
    "differences",
    "environment_settings",
    "environment_weights",
    "explain",
    "flat_settings",
    "is_own_name",
    "is_simulated",
    "is_switched_on",
    "make_config",
    "overlay",
    "parse_assignment",
    "required_models",
    "restarted_models",
    "setting_names",
    "setting_text",
    "used_file",
    "validate",
]
