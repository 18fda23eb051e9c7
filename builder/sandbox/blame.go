package sandbox

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// signs are what programs print, in lower case, when the machine or a limit lets them down. A compiler that meets one of these
// says so, removes its files and exits with 1, as it does for a mistake in the source: then nothing else tells the two
// apart. A source may print them too; that costs another try of a build that fails, no more.
var signs = []struct{ text, limit string }{
	{"no space left on device", "disk"}, // ENOSPC: the work folder's file system, /tmp or /dev/shm
	{"disk quota exceeded", "disk"},
	{"file too large", "disk"},                        // RLIMIT_FSIZE
	{"resource temporarily unavailable", "processes"}, // EAGAIN, of fork above all: RLIMIT_NPROC or the host's own limit
	{"can't start new thread", "processes"},           // Python
	{"cannot fork", "processes"},                      // dash
	{"cannot allocate memory", "memory"},              // ENOMEM
	{"virtual memory exhausted", "memory"},            // GCC
	{"] killed\n", "memory"},                          // make
	{"\nmemoryerror", "memory"},                       // Python
	{"instance of 'std::bad_alloc'", "memory"},
	{"out of memory allocating", "memory"},         // GCC
	{"llvm error: out of memory", "memory"},        // clang, rustc
	{"killed signal terminated program", "memory"}, // GCC, of its own parts
	{"signal: 9, sigkill", "memory"},               // cargo
	{"signals.sigkill", "memory"},                  // Python
}

// maxSign is more than any sign has.
const maxSign = 64

// sign finds the first sign in output as the *LimitError that it stands for, or nil.
func sign(output []byte) *LimitError {
	output = bytes.ToLower(output)
	for _, s := range signs {
		if bytes.Contains(output, []byte(s.text)) {
			return &LimitError{s.limit, fmt.Sprintf("the output says %q", strings.TrimSpace(s.text))}
		}
	}
	return nil
}

// vmstat is a variable for tests.
var vmstat = "/proc/vmstat"

// oomKills is how many processes the kernel has killed for want of memory, of the machine's or of a control group's, since it
// started; 0 if it doesn't tell.
func oomKills() int {
	b, err := os.ReadFile(vmstat)
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(b) {
		if n, ok := bytes.CutPrefix(line, []byte("oom_kill ")); ok {
			kills, _ := strconv.Atoi(string(bytes.TrimSpace(n)))
			return kills
		}
	}
	return 0
}
