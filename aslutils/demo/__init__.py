"""The kinematic signer: a made-up person who fingerspells before a camera, and the data set that it writes."""
