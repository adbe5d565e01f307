"""How the bundled mini models were made: one small file a step, in the order data, tokenizer, model, train,
evaluate. `make train-minis` runs them all; `RECIPE.md` beside each model's weights tells the numbers."""
