"""The intermediate representation: data only. `program.Program` is the root, `printer` shows it, `verifier` checks it."""
