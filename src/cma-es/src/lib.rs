//! CMA-ES with ask and tell, separable and full, with a state that can be saved.
