"""The commands of `synclr`: parse arguments, call one function, print. Each user mistake is one sentence."""
