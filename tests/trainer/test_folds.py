"""Folds: by subject, each sequence in one, the same for the same seed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.builders import GESTURES, make_table
from trainer.data.raw_table import sequences_from_table
from trainer.data.schema import DataError
from trainer.data.sources import check_trainable
from trainer.folds import FoldError, assign_folds, check_sizes, split


def balanced(num_subjects=10, per_subject=8):
    """Return labels (4 gestures in turn) and subjects of a balanced data set."""
    label_idx = np.tile(np.arange(per_subject) % 4, num_subjects)
    subjects = np.repeat([f"SUBJ_{n:06d}" for n in range(num_subjects)], per_subject)
    return label_idx, subjects


@settings(max_examples=30, deadline=None)
@given(st.data(), st.integers(2, 5), st.integers(0, 2**31 - 1))
def test_a_subject_is_never_in_two_folds_and_every_sequence_is_in_one(data, num_folds, seed):
    """For any subjects and gestures: folds 0..n-1, each subject whole in one; none is empty.

    scikit-learn leaves one empty now and then; such folds are refused.
    """
    num_subjects = data.draw(st.integers(num_folds, 9))
    counts = data.draw(st.lists(st.integers(1, 9), min_size=num_subjects, max_size=num_subjects))
    subjects = np.repeat([f"s{n}" for n in range(num_subjects)], counts)
    gesture = st.integers(0, 3)
    labels = data.draw(st.lists(gesture, min_size=len(subjects), max_size=len(subjects)))
    if np.bincount(labels).max() < num_folds:
        return  # refused before training
    fold_N = assign_folds(np.array(labels), subjects, num_folds, seed)
    assert set(fold_N) <= set(range(num_folds))
    if len(set(fold_N)) < num_folds:
        with pytest.raises(FoldError, match="is empty"):
            check_sizes(fold_N, num_folds, "")
    for subject in set(subjects):
        assert len(set(fold_N[subjects == subject])) == 1


def test_the_parts_of_a_fold_share_no_subject_and_contain_every_sequence():
    """Training and validation part are disjoint by subject and together are all sequences."""
    label_idx, subjects = balanced()
    fold_N = assign_folds(label_idx, subjects, 5, seed=42)
    for fold in range(5):
        train_idx, valid_idx = split(fold_N, fold)
        assert not set(subjects[train_idx]) & set(subjects[valid_idx])
        assert sorted([*train_idx, *valid_idx]) == list(range(80))
        assert set(fold_N[valid_idx]) == {fold}


def test_the_seed_alone_decides():
    """The same seed gives the same folds, another one gives others."""
    label_idx, subjects = balanced()
    first, again, other = (assign_folds(label_idx, subjects, 5, seed) for seed in (42, 42, 43))
    assert (first == again).all()
    assert (first != other).any()


def test_gestures_are_balanced():
    """Ten subjects with the same gestures: every fold holds two of them, every gesture 4 times."""
    label_idx, subjects = balanced()
    fold_N = assign_folds(label_idx, subjects, 5, seed=42)
    counts = [np.bincount(label_idx[fold_N == fold], minlength=4).tolist() for fold in range(5)]
    assert counts == [[4, 4, 4, 4]] * 5


def test_too_few_sequences_for_the_folds_are_refused_before_training():
    """No gesture has as many sequences as folds: the message contains that and what to do."""
    table = make_table(
        num_subjects=5, sequences_per_subject=1, gestures=GESTURES, length=4, groups=("acc",)
    )
    with pytest.raises(DataError, match=r"5 folds need .* at least 5 sequences") as caught:
        check_trainable(sequences_from_table(table), num_folds=5)
    assert "Set folds to 2" in str(caught.value)


def test_the_seed_only_orders_people_whose_gestures_are_spread_equally():
    """So seeds often share their folds on real recordings; a study's interval depends on it."""
    subjects = np.repeat([f"s{number}" for number in range(8)], 8)
    equal = np.tile(np.arange(4), 16)
    uneven = np.concatenate([np.arange(8) % 4 * (np.arange(8) > number) for number in range(8)])
    for labels, num_different in ((equal, 3), (uneven, 1)):
        found = {tuple(assign_folds(labels, subjects, 4, seed)) for seed in (1, 2, 3)}
        assert len(found) == num_different
