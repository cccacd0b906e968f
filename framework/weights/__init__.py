"""Systems as folders of JSON and safetensors, and where to find them."""
