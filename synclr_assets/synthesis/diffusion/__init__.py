"""Drawing images with text-to-image models of the diffusers library (SynCLR 3.2). Knows no table and no Dagster."""
