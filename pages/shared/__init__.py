"""What the pages share: settings and their place in the URL, caches over the runtime, the sidebar, the
frame of a page, and the one live figure. The only room with `st.cache_*`.

Import from here by full name (`from pages.shared import runtime`): a module that holds a cache and is
reached by two names would be two caches.
"""
