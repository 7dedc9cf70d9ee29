"""What a network is compared with: covariates alone, the mean image, and functional connectivity, on the same split."""
