"""The input check of a run: against its training data, where that is stored with it."""

import pytest

from tests.support.builders import make_table
from trainer.data.raw_table import sequences_from_table
from trainer.explain.input_check import check_input_for
from trainer.explain.training import Training
from trainer.predict.predictor import PredictError, Predictor


def test_a_note_names_missing_training_data(tiny_run, tmp_path):
    """A bundle alone predicts; nothing is compared, and the last note is the reason."""
    table = make_table(num_subjects=1, sequences_per_subject=4, labelled=False)
    (tmp_path / "lgbm_bundle.pkl").write_bytes((tiny_run / "lgbm_bundle.pkl").read_bytes())
    predictor = Predictor.load(tmp_path / "lgbm_bundle.pkl")
    findings = check_input_for(predictor, sequences_from_table(table))
    assert findings[-1].severity == "note"
    assert "train_features.joblib: not there yet" in findings[-1].line
    with pytest.raises(PredictError, match="resuming the run writes it again"):
        Training.load(tmp_path)
