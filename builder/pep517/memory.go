package pep517

import "archive/zip"

const (
	mostInMemory = 64 << 20 // bytes of an environment
	block        = 4 << 10  // what a file's size is rounded up to
)

// memory is the folder of a Run that lies in memory: that of the build environment, but for large ones. Most of what an environment of many small
// files takes on disk is the kernel's work, to make and then to remove them.
func memory(wheels []Wheel) string {
	left := uint64(mostInMemory)
	for _, w := range wheels {
		z, err := zip.OpenReader(w.Path)
		if err != nil {
			return "" // uv will say what is wrong with it
		}
		for _, f := range z.File {
			need := min(f.UncompressedSize64, left) + block
			if need > left {
				z.Close()
				return ""
			}
			left -= need
		}
		z.Close()
	}
	return "/build/venv"
}
