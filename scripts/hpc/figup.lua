-- A module for figup (Lmod). Put figup.pyz into a folder as `figup`, and set both paths.
help("figup uploads large files to Figshare. Manual: figup help")
whatis("Upload large files to Figshare, reliably")
depends_on("python/3.11")
prepend_path("PATH", "/apps/figup/bin")
-- Shared by all nodes, so that any job continues what another one began.
setenv("FIGUP_STATE_DIR", pathJoin(os.getenv("PROJECT") or os.getenv("HOME"), "figup"))
