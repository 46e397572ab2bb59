"""The kinematic signer: a made-up person who fingerspells in front of a camera, and the data set that it writes."""
