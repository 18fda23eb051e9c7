package dist

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// Target is an interpreter on a platform: what wheels are built for. It speaks of CPython on Linux; for another interpreter or platform
// Supported has its own tags and the pure ones.
type Target struct {
	Python            string            `json:"python"`                   // tag: "cp311"
	ABI               string            `json:"abi"`                      // tag: "cp311", "cp313t"
	Platform          string            `json:"platform"`                 // tag without libc: "linux_x86_64"
	Glibc             string            `json:"glibc,omitempty"`          // "2.36"; "" is no glibc, so no manylinux
	PythonVersion     string            `json:"python_version"`           // "3.11"
	PythonFullVersion string            `json:"python_full_version"`      // "3.11.7"
	Implementation    string            `json:"implementation,omitempty"` // "cpython"
	Machine           string            `json:"machine,omitempty"`        // "x86_64"
	Markers           map[string]string `json:"markers,omitempty"`        // PEP 508 environment
}

// Supported lists the tags that the target installs, best first, in the order of packaging 26.3 (which pip and PEP 425 follow): own ABI,
// abi3, own Python without ABI, abi3 of older Pythons, pure Python on the platform, pure Python. Per tag the plain Linux platform
// comes first, then manylinux (PEP 600) from the target's glibc down, each old alias after its number.
func (t Target) Supported() []Tag { return t.tags().list }

// Rank is the best position in Supported of any of the tags; ok is false where the target takes none of them.
func (t Target) Rank(tags []Tag) (rank int, ok bool) {
	ranks := t.tags().rank
	for _, tag := range tags {
		if r, found := ranks[tag]; found && (!ok || r < rank) {
			rank, ok = r, true
		}
	}
	return rank, ok
}

// PromiseTags is the tag set of a wheel that is still to be built for the target: "cp311-cp311-manylinux_2_36_x86_64".
func (t Target) PromiseTags() string {
	platform := t.Platform
	if arch, ok := strings.CutPrefix(t.Platform, "linux_"); ok && t.Glibc != "" {
		platform = "manylinux_" + strings.ReplaceAll(t.Glibc, ".", "_") + "_" + arch
	}
	return Tag{t.Python, t.ABI, platform}.String()
}

type supported struct {
	list []Tag
	rank map[Tag]int
}

// known remembers the tags of each target, some 900 that a page asks for per wheel. Targets come from configuration: there are few.
var known sync.Map // targetKey -> supported

type targetKey struct{ python, abi, platform, glibc string }

func (t Target) tags() supported {
	key := targetKey{t.Python, t.ABI, t.Platform, t.Glibc}
	if s, ok := known.Load(key); ok {
		return s.(supported)
	}
	s := supported{rank: make(map[Tag]int)}
	for _, tag := range t.order() {
		if _, repeat := s.rank[tag]; !repeat {
			s.rank[tag] = len(s.list)
			s.list = append(s.list, tag)
		}
	}
	s.list = s.list[:len(s.list):len(s.list)] // a caller's append must not write here
	known.Store(key, s)
	return s
}

func (t Target) order() (list []Tag) {
	platforms := t.platforms()
	each := func(python, abi string) {
		for _, p := range platforms {
			list = append(list, Tag{python, abi, p})
		}
	}
	each(t.Python, t.ABI)
	if base, debug := strings.CutSuffix(t.ABI, "d"); debug {
		each(t.Python, base) // a debug build loads ordinary extension modules
	}
	cpython := strings.HasPrefix(t.Python, "cp")
	number := strings.TrimLeft(t.Python, "abcdefghijklmnopqrstuvwxyz") // "311" is 3.11
	major, minor := 0, 0
	if len(number) > 1 {
		major, _ = strconv.Atoi(number[:1])
		minor, _ = strconv.Atoi(number[1:])
	}
	stable := "abi3"
	if strings.Contains(strings.TrimPrefix(t.ABI, t.Python), "t") {
		stable = "abi3t" // PEP 803: free-threaded builds have a stable ABI of their own
	}
	if cpython && major == 3 && minor >= 2 {
		each(t.Python, stable)
	}
	each(t.Python, "none")
	if cpython && major == 3 {
		for m := minor - 1; m >= 2; m-- {
			each(fmt.Sprintf("cp3%d", m), stable)
		}
	}
	pures := []string{fmt.Sprintf("py%d%d", major, minor), fmt.Sprintf("py%d", major)}
	for m := minor - 1; m >= 0; m-- {
		pures = append(pures, fmt.Sprintf("py%d%d", major, m))
	}
	for _, py := range pures {
		each(py, "none")
	}
	list = append(list, Tag{t.Python, "none", "any"})
	for _, py := range pures {
		list = append(list, Tag{py, "none", "any"})
	}
	return list
}

// manylinuxArchs are the machines for which PEP 600 and the legacy tags are defined.
var manylinuxArchs = map[string]bool{
	"x86_64": true, "i686": true, "aarch64": true, "armv7l": true, "ppc64": true, "ppc64le": true, "s390x": true,
	"loongarch64": true, "riscv64": true,
}

func (t Target) platforms() []string {
	arch, linux := strings.CutPrefix(t.Platform, "linux_")
	list := []string{t.Platform}
	major, minor, ok := strings.Cut(t.Glibc, ".")
	newest, err := strconv.Atoi(cmp.Or(minor, "0"))
	if !linux || !ok || major != "2" || err != nil || !manylinuxArchs[arch] {
		return list
	}
	oldest := 17
	if arch == "x86_64" || arch == "i686" {
		oldest = 5
	}
	legacy := map[int]string{17: "manylinux2014_", 12: "manylinux2010_", 5: "manylinux1_"}
	for m := newest; m >= oldest; m-- {
		list = append(list, fmt.Sprintf("manylinux_2_%d_%s", m, arch))
		if alias := legacy[m]; alias != "" {
			list = append(list, alias+arch)
		}
	}
	return list
}
