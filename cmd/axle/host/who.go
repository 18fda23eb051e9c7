package host

import (
	"fmt"
	"os"
	"os/user"
)

// Who is who runs this program and where, user@host, as histories keep it.
func Who() string {
	name, machine := fmt.Sprintf("uid-%d", os.Getuid()), "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if h, err := os.Hostname(); err == nil {
		machine = h
	}
	return name + "@" + machine
}
