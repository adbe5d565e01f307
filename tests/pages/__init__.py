"""Every page under Streamlit's AppTest."""
