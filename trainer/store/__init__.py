"""The contract with the state folder: names, records, durable files, cache, recorder, reader."""
