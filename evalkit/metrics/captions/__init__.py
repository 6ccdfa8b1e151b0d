"""Captions against references: the field's tokeniser and BLEU, ROUGE-L and CIDEr-D as coco-caption has them."""
