"""Labels in other tools' files, both ways and pixel exact: PNG folders, COCO, CVAT for images, Label Studio brush."""
