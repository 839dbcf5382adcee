"""Text to image by diffusion and flow matching: loading, sampling, recording, guidance, sweeps."""
