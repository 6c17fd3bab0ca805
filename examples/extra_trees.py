"""A model of your own: scikit-learn's extremely randomized trees as plain arrays."""

import numpy as np
from sklearn.ensemble import ExtraTreesClassifier

from trainer.extend import TableModel, model


@model
class ExtraTrees(TableModel):
    name, title, libraries = "extra_trees", "Extra trees", ("sklearn",)

    def fit_table(self, values_NF, class_idx, settings, seed):
        forest = ExtraTreesClassifier(200, min_samples_leaf=2, random_state=seed)
        trees = [one.tree_ for one in forest.fit(np.nan_to_num(values_NF, nan=-1e4), class_idx)]
        parts = ("children_left", "children_right", "feature", "threshold", "value")
        return {"trees": [{part: getattr(tree, part) for part in parts} for tree in trees]}

    def predict_table(self, packed, values_NF):
        filled_NF = np.nan_to_num(values_NF, nan=-1e4)
        return np.mean([self.walk(filled_NF, **tree) for tree in packed["trees"]], axis=0)

    def walk(self, values_NF, children_left, children_right, feature, threshold, value):
        row_N, node_N = np.arange(len(values_NF)), np.zeros(len(values_NF), dtype=np.int64)
        while (children_left[node_N] > node_N).any():  # children come after their parent
            is_left_N = values_NF[row_N, feature[node_N]] <= threshold[node_N]
            next_N = np.where(is_left_N, children_left[node_N], children_right[node_N])
            node_N = np.maximum(node_N, next_N)  # -1: a leaf
        return value[node_N, 0] / value[node_N, 0].sum(axis=1, keepdims=True)
