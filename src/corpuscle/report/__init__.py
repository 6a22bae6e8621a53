"""Floor 4: pictures, tables and pages from finished numbers. Reads run folders; never imports a net."""
