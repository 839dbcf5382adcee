"""The engine of the Generative AI Lab: catalog, pipelines, runtime. No Streamlit below this line."""
