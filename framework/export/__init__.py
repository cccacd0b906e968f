"""Files for people and other programs: meshes, pictures, videos."""
