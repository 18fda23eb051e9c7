package environ

// Mount is one line of what a sandbox shows. Lines are applied in order, so a later one may lie inside an
// earlier one or hide a part of it.
type Mount struct {
	Kind   string // "bind" (read-only) | "tmpfs" (empty, read-only) | "symlink" | "file" (read-only, holds Data)
	Source string // bind: the host path, links followed; symlink: the text of the link
	Target string // absolute path inside the sandbox
	Data   []byte
}

// Root is the file view of every sandbox of one environment: exactly the files that its components name.
type Root struct {
	Mounts []Mount
	Path   []string          // PATH inside, in order, without the build's own virtual environment
	Env    map[string]string // declared environment variables, set in every build
}
